{{/* Refuses values that do not fit together. values.schema.json checks each by itself. */}}
{{- define "keyledger.check" -}}
{{- $given := concat (keys .Values.settings) .Values.secret.values (keys .Values.secret.files) -}}
{{- range $name := $given -}}
{{- $count := 0 -}}
{{- range $other := $given -}}{{- if eq $name $other -}}{{- $count = add1 $count -}}{{- end -}}{{- end -}}
{{- if gt $count 1 -}}
{{- fail (printf "%s is given more than once: it is in one of settings, secret.values and secret.files" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (include "keyledger.onSqlite" .) (gt (int .Values.replicas) 1) -}}
{{- fail "replicas must be 1 while a store is on SQLite: one process writes its files. For several nodes, set stores.journal to postgres or kurrentdb and stores.readTables to postgres" -}}
{{- end -}}
{{- range $store := list (list .Values.stores.journal "stores.journal" "KEYLEDGER_JOURNAL_URL") (list .Values.stores.readTables "stores.readTables" "KEYLEDGER_READ_URL") -}}
{{- $kind := index $store 0 -}}
{{- $value := index $store 1 -}}
{{- $setting := index $store 2 -}}
{{- if and (eq $kind "sqlite") (has $setting $given) -}}
{{- fail (printf "%s is set by the chart while %s is sqlite: leave it out" $setting $value) -}}
{{- end -}}
{{- if and (ne $kind "sqlite") (not (has $setting $given)) -}}
{{- fail (printf "%s is missing: name it in secret.values, and put the URL under this name into the Secret" $setting) -}}
{{- end -}}
{{- end -}}
{{- $signIn := 0 -}}
{{- range $source := list "KEYLEDGER_JWT_JWKS_URL" "KEYLEDGER_JWT_PUBLIC_KEY" "KEYLEDGER_JWT_HS256_SECRET" -}}
{{- if has $source $given -}}{{- $signIn = add1 $signIn -}}{{- end -}}
{{- end -}}
{{- if ne (int $signIn) 1 -}}
{{- fail "set exactly one source of sign-in keys: KEYLEDGER_JWT_JWKS_URL (in settings or secret.values), KEYLEDGER_JWT_PUBLIC_KEY (in settings or secret.files) or KEYLEDGER_JWT_HS256_SECRET (in secret.values)" -}}
{{- end -}}
{{- if and (or .Values.secret.values .Values.secret.files) (not .Values.secret.name) -}}
{{- fail "secret.name is missing: the Secret that secret.values and secret.files are read from" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is missing: an Ingress without hosts would take the requests of all" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (has "KEYLEDGER_INTERNAL_TOKENS" $given) (not (and .Values.serviceMonitor.tokenSecret.name .Values.serviceMonitor.tokenSecret.key)) -}}
{{- fail "serviceMonitor.tokenSecret (name and key) is missing: with KEYLEDGER_INTERNAL_TOKENS, Prometheus needs a token to read the metrics" -}}
{{- end -}}
{{- end -}}
