{{/* The template of the pods, for the Deployment or the StatefulSet. */}}
{{- define "keyledger.pod" -}}
{{- include "keyledger.check" . -}}
{{- $hasVolume := include "keyledger.hasVolumes" . -}}
{{- $writesFiles := or $hasVolume (hasKey .Values.secret.files "KEYLEDGER_AUDIT_KEY") -}}
metadata:
  labels:
    {{- include "keyledger.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "keyledger.serviceAccount" . }}
  automountServiceAccountToken: false
  # Variables for the services of the namespace are not needed.
  enableServiceLinks: false
  # The pause, the time for running requests, and some for last uses, the last checkpoint and the leases.
  terminationGracePeriodSeconds: {{ add .Values.stop.pauseSeconds .Values.stop.graceSeconds 7 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    # So that the process, and no other user, can read the files of the Secret.
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "keyledger.selector" . | nindent 10 }}
    {{- end }}
  containers:
    - name: keyledger
      image: {{ include "keyledger.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        {{- range $name, $value := include "keyledger.environment" . | fromJson }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
        - name: internal
          containerPort: 8081
      # On the internal listener, which the public cannot fill. It is ready when keys can be verified, also while the
      # identity provider is away.
      startupProbe:
        httpGet:
          path: /healthz
          port: internal
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet:
          path: /healthz
          port: internal
        periodSeconds: 10
      readinessProbe:
        httpGet:
          path: /readyz
          port: internal
        periodSeconds: 2
      {{- if .Values.stop.pauseSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ .Values.stop.pauseSeconds }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      {{- if or .Values.secret.name $writesFiles .Values.extraVolumeMounts }}
      volumeMounts:
        {{- if .Values.secret.name }}
        - name: secret
          mountPath: /run/secrets/keyledger
          readOnly: true
        {{- end }}
        {{- if $writesFiles }}
        - name: data
          mountPath: /var/lib/keyledger/data
        {{- end }}
        {{- if include "keyledger.onSqlite" . }}
        # Large sorts of SQLite.
        - name: tmp
          mountPath: /tmp
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- $needsVolumes := or .Values.secret.name (and $writesFiles (not $hasVolume)) (include "keyledger.onSqlite" .) }}
  {{- if or $needsVolumes .Values.extraVolumes }}
  volumes:
    {{- if .Values.secret.name }}
    - name: secret
      secret:
        secretName: {{ .Values.secret.name }}
        defaultMode: 0440
        items:
          {{- range .Values.secret.values }}
          - key: {{ . }}
            path: {{ . }}
          {{- end }}
          {{- range $files := .Values.secret.files }}
          {{- range $files }}
          - key: {{ . | quote }}
            path: {{ . | quote }}
          {{- end }}
          {{- end }}
    {{- end }}
    {{- if and $writesFiles (not $hasVolume) }}
    # The file of signed checkpoints. The read database has what was signed too.
    - name: data
      emptyDir: {}
    {{- end }}
    {{- if include "keyledger.onSqlite" . }}
    - name: tmp
      emptyDir: {}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}
