{{/* The environment of keyledger, as a JSON object. */}}
{{- define "keyledger.environment" -}}
{{- $data := "/var/lib/keyledger/data" -}}
{{- $secrets := "/run/secrets/keyledger" -}}
{{- $environment := dict
    "KEYLEDGER_LISTEN" (printf "%s:8080" .Values.bindAddress)
    "KEYLEDGER_INTERNAL_LISTEN" (printf "%s:8081" .Values.bindAddress)
    "KEYLEDGER_SHUTDOWN_GRACE" (printf "%ds" (int .Values.stop.graceSeconds))
-}}
{{- if eq .Values.stores.journal "sqlite" -}}
{{- $_ := set $environment "KEYLEDGER_JOURNAL_URL" (printf "sqlite://%s/journal.db" $data) -}}
{{- end -}}
{{- if eq .Values.stores.readTables "sqlite" -}}
{{- $_ := set $environment "KEYLEDGER_READ_URL" (printf "sqlite://%s/read.db" $data) -}}
{{- end -}}
{{- if hasKey .Values.secret.files "KEYLEDGER_AUDIT_KEY" -}}
{{- $_ := set $environment "KEYLEDGER_AUDIT_CHECKPOINTS" (printf "%s/checkpoints" $data) -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $environment $name (toString $value) -}}
{{- end -}}
{{- range $name := .Values.secret.values -}}
{{- $_ := set $environment (printf "%s_FILE" $name) (printf "%s/%s" $secrets $name) -}}
{{- end -}}
{{- range $name, $files := .Values.secret.files -}}
{{- $paths := list -}}
{{- range $files -}}{{- $paths = append $paths (printf "%s/%s" $secrets .) -}}{{- end -}}
{{- $_ := set $environment $name (join "," $paths) -}}
{{- end -}}
{{- toJson $environment -}}
{{- end -}}
