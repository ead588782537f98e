{{- define "keyledger.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that every name that is made from it has 63 at most. */}}
{{- define "keyledger.fullname" -}}
{{- $name := include "keyledger.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "keyledger.selector" -}}
app.kubernetes.io/name: {{ include "keyledger.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keyledger.labels" -}}
{{ include "keyledger.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "keyledger.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "keyledger.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "keyledger.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* "yes" if a store is on SQLite, else nothing. */}}
{{- define "keyledger.onSqlite" -}}
{{- if has "sqlite" (values .Values.stores) -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if each pod has a volume of its own, else nothing. */}}
{{- define "keyledger.hasVolumes" -}}
{{- if or (include "keyledger.onSqlite" .) .Values.persistence.enabled -}}yes{{- end -}}
{{- end -}}
