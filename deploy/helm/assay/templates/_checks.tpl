{{/* What cannot be meant, each as one sentence: rendered with the settings, before anything is installed. */}}

{{/* A value as its setting reads it: the template engine writes whole numbers as 2e+06. */}}
{{- define "assay.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end -}}
{{- end }}

{{- define "assay.checked" -}}
{{- $own := dict "ASSAY_KAFKA_BOOTSTRAP" "kafka.bootstrap" "ASSAY_KAFKA_SECURITY_PROTOCOL" "kafka.securityProtocol" "ASSAY_REPLICATION" "kafka.replication" "ASSAY_BUNDLE_PUBLIC_KEYS" "bundle.publicKeys" "ASSAY_REGISTRY_URL" "bundle.registryUrl" "ASSAY_BUNDLE" "bundle.path" "ASSAY_PRODUCT" "product" "ASSAY_GATEWAY_GRPC_PORT" "services.gateway.grpcPort" }}
{{- range $name, $variable := include "assay.ports" . | fromYaml }}{{- $_ := set $own $variable (printf "services.%s.port" $name) }}{{- end }}
{{- $given := dict "settings" .Values.settings }}
{{- range $name, $service := .Values.services }}{{- $_ := set $given (printf "services.%s.settings" $name) $service.settings }}{{- end }}
{{- range $place, $settings := $given }}
{{- range $name, $value := $settings }}
{{- if hasKey $own $name }}
{{- fail (printf "%s has %s, which %s says: set it there alone." $place $name (get $own $name)) }}
{{- end }}
{{- if regexMatch "_(KEY|PASSWORD|TOKEN|SECRET)$" $name }}
{{- fail (printf "%s has %s, a secret that everyone who may read the release would see: put it into the Secret of the service that needs it (services.NAME.secret)." $place $name) }}
{{- end }}
{{- if and (eq $name "ASSAY_SUBJECT_SALTS_URL") (hasPrefix "/" (toString $value)) }}
{{- fail (printf "%s has %s in a folder of a pod, which is deleted with the pod, and with it what every sealed decision says: name a store that all share." $place $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $sasl := hasPrefix "SASL" .Values.kafka.securityProtocol }}
{{- if and $sasl .Values.topics.enabled (not .Values.topics.secret) }}
{{- fail (printf "With kafka.securityProtocol %s topics are created under a login: put it into the Secret topics, and set topics.secret." .Values.kafka.securityProtocol) }}
{{- end }}
{{- range $name, $service := .Values.services }}
{{- if and $service.enabled $sasl (not $service.secret) }}
{{- fail (printf "With kafka.securityProtocol %s each service has a login: put that of %s into the Secret %s, and set services.%s.secret." $.Values.kafka.securityProtocol $name $name $name) }}
{{- end }}
{{- end }}
{{- with .Values.services.credit }}
{{- if and .enabled (not (hasKey (default dict .settings) "ASSAY_CREDIT_BUNDLE")) }}
{{- fail "Say which bundle judges applications: services.credit.settings.ASSAY_CREDIT_BUNDLE, a folder or a container in the image." }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if $sasl }}
{{- fail (printf "The scaler has a certificate and no login: autoscaling does not work with kafka.securityProtocol %s." $.Values.kafka.securityProtocol) }}
{{- end }}
{{- $partitions := get $.Values.settings "ASSAY_PARTITIONS" }}
{{- if and $partitions (ne (int $partitions) (int .partitions)) }}
{{- fail (printf "autoscaling.partitions is %d and settings.ASSAY_PARTITIONS %d: both are the partitions of the topic that the scorer reads." (int .partitions) (int $partitions)) }}
{{- end }}
{{- if gt (int $.Values.services.scorer.replicas) (int .partitions) }}
{{- fail (printf "services.scorer.replicas is %d, and autoscaling.partitions %d: more pods would idle." (int $.Values.services.scorer.replicas) (int .partitions)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Which setting is the port of a service. */}}
{{- define "assay.ports" -}}
scorer: ASSAY_HTTP_PORT
profiler: ASSAY_PROFILER_HTTP_PORT
cases: ASSAY_CASES_HTTP_PORT
monitor: ASSAY_MONITOR_HTTP_PORT
intake: ASSAY_INTAKE_HTTP_PORT
entities: ASSAY_ENTITIES_HTTP_PORT
converter: ASSAY_CONVERTER_HTTP_PORT
credit: ASSAY_CREDIT_HTTP_PORT
credit-monitor: ASSAY_CREDIT_MONITOR_HTTP_PORT
gateway: ASSAY_GATEWAY_PORT
console: ASSAY_CONSOLE_PORT
{{- end }}
