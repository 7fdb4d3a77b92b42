{{- define "assay.image" -}}
{{- $flavour := ternary "cuda" "cpu" (default false .service.gpu) -}}
{{- $tag := default (printf "%s-%s" .root.Chart.AppVersion $flavour) .root.Values.image.tag -}}
{{- if has .name (list "gateway" "console" "cases" "monitor") }}{{ $tag = default $tag .root.Values.image.slimTag }}{{ end -}}
{{ .root.Values.image.repository }}:{{ $tag }}
{{- end }}

{{- define "assay.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "assay.common" -}}
{{ include "assay.labels" . }}
app.kubernetes.io/part-of: assay
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Every pod of this release */}}
{{- define "assay.scraped" -}}
app.kubernetes.io/part-of: assay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* How an endpoint is scraped: the dashboards and rules know a service by the job assay-NAME */}}
{{- define "assay.job" -}}
path: /metrics
interval: 15s
relabelings:
  - {action: replace, sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], targetLabel: job, replacement: assay-$1}
{{- end }}

{{- define "assay.tls" -}}
{{- if has .Values.kafka.securityProtocol (list "SSL" "SASL_SSL") }}true{{ end -}}
{{- end }}

{{/* As `assay strimzi` names it */}}
{{- define "assay.strimziUser" -}}
assay-{{ with .root.Values.product }}{{ . }}-{{ end }}{{ .name }}
{{- end }}

{{/* The pod of a service: .name, .service, .root, .args */}}
{{- define "assay.pod" -}}
serviceAccountName: {{ .name }}
automountServiceAccountToken: false
# no variables of other Services: they would begin as ours do where one is named assay-...
enableServiceLinks: false
terminationGracePeriodSeconds: 60
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- if .service.gpu }}
nodeSelector: {nvidia.com/gpu.present: "true"}
tolerations:
  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
{{- end }}
{{- if gt (int (default 1 .service.replicas)) 1 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "assay.labels" . | nindent 8 }}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "assay.image" . | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ .args | toJson }}
    envFrom:
      - configMapRef: {name: {{ .root.Release.Name }}-settings}
      {{- if .service.secret }}
      - secretRef: {name: {{ .name }}}
      {{- end }}
    env:
      {{- if .service.stateGi }}
      # static membership: a pod that comes back under its name keeps its partitions
      - name: ASSAY_GROUP_INSTANCE_ID
        valueFrom: {fieldRef: {fieldPath: metadata.name}}
      {{- end }}
      {{- if .service.gpu }}
      # with cuda, and not auto, a pod without one refuses to start
      - {name: ASSAY_DEVICE, value: cuda}
      {{- end }}
      {{- with .service.grpcPort }}
      - {name: ASSAY_GATEWAY_GRPC_PORT, value: {{ . | toString | quote }}}
      {{- end }}
      {{- with get (include "assay.ports" . | fromYaml) .name }}
      - {name: {{ . }}, value: {{ $.service.port | toString | quote }}}
      {{- end }}
      {{- range $name, $value := .service.settings }}
      - {name: {{ $name }}, value: {{ include "assay.text" $value | quote }}}
      {{- end }}
    {{- if .service.port }}
    ports:
      - {name: http, containerPort: {{ .service.port }}}
      {{- with .service.grpcPort }}
      - {name: grpc, containerPort: {{ . }}}
      {{- end }}
    startupProbe: {httpGet: {path: /livez, port: http{{ if .service.tls }}, scheme: HTTPS{{ end }}}, periodSeconds: 5, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /livez, port: http{{ if .service.tls }}, scheme: HTTPS{{ end }}}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
    readinessProbe: {httpGet: {path: /readyz, port: http{{ if .service.tls }}, scheme: HTTPS{{ end }}}, periodSeconds: 5, timeoutSeconds: 5}
    {{- end }}
    resources:
      requests: {cpu: {{ .service.resources.cpu | quote }}, memory: {{ .service.resources.memory }}}
      limits:
        memory: {{ .service.resources.memory }}
        {{- if .service.gpu }}
        nvidia.com/gpu: 1
        {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if .service.stateGi }}
      - {name: state, mountPath: /var/lib/assay}
      {{- end }}
      {{- if .service.files }}
      - {name: files, mountPath: /etc/assay/files, readOnly: true}
      {{- end }}
      {{- if include "assay.tls" .root }}
      - {name: kafka-tls, mountPath: /etc/assay/kafka, readOnly: true}
      {{- end }}
volumes:
  - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
  {{- if .service.files }}
  - {name: files, secret: {secretName: {{ .name }}-files}}
  {{- end }}
  {{- if include "assay.tls" .root }}
  {{- if .root.Values.kafka.strimziCluster }}
  # the user's own certificate, and the brokers' authority: its Secret's ca.crt is that of the clients
  - name: kafka-tls
    projected:
      sources:
        - secret: {name: {{ .root.Values.kafka.strimziCluster }}-cluster-ca-cert, items: [{key: ca.crt, path: ca.crt}]}
        - secret:
            name: {{ include "assay.strimziUser" . }}
            items: [{key: user.crt, path: tls.crt}, {key: user.key, path: tls.key}]
  {{- else }}
  - {name: kafka-tls, secret: {secretName: {{ .name }}-kafka}}
  {{- end }}
  {{- end }}
{{- end }}
