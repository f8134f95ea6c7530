{{- define "ndproxyd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ndproxyd.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "ndproxyd.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "ndproxyd.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What tells the DaemonSet's pods from others of the release: one that it takes for
its own without need it deletes. */}}
{{- define "ndproxyd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ndproxyd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "ndproxyd.labels" -}}
app.kubernetes.io/name: {{ include "ndproxyd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ndproxyd.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "ndproxyd.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "ndproxyd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* With maxSurge the new pod starts first, so that its image is on the node and its
configuration has been read when the old one stops. The new daemon waits for that. */}}
{{- define "ndproxyd.updateStrategy" -}}
{{- toYaml (default (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxUnavailable" 1)) .Values.updateStrategy) }}
{{- end }}

{{/* "true" where two pods may be on a node during a rollout. The scheduler would not put
them there if both named a port of the host. */}}
{{- define "ndproxyd.surges" -}}
{{- $surge := toString (default 0 (((include "ndproxyd.updateStrategy" . | fromYaml).rollingUpdate).maxSurge)) }}
{{- if not (has $surge (list "0" "0%")) }}true{{ end }}
{{- end }}

{{/* The daemon reads the ConfigMap again in place. With another health port that would move
the port away from the probes of running pods, so each port has a ConfigMap of its own
name, and a changed port replaces the pods. */}}
{{- define "ndproxyd.configMap" -}}
{{- include "ndproxyd.fullname" . }}
{{- if ne (int .Values.health.port) 9973 }}-health-{{ .Values.health.port }}{{ end }}
{{- end }}

{{/* Nine tenths of the memory limit, in bytes: Go collects more often to stay below it. ""
for a limit in another form. */}}
{{- define "ndproxyd.goMemoryLimit" -}}
{{- $limit := toString (((.Values.resources).limits).memory) }}
{{- $unit := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "k" 1000 "M" 1000000 "G" 1000000000 "" 1 }}
{{- if regexMatch "^[0-9]+(Ki|Mi|Gi|k|M|G)?$" $limit }}
{{- div (mul (regexFind "^[0-9]+" $limit) (get $unit (regexFind "[A-Za-z]*$" $limit)) 9) 10 }}
{{- end }}
{{- end }}

{{/* Whether pods may answer in the kernel, where the values say so: "true" or "". */}}
{{- define "ndproxyd.fastPath" -}}
{{- if (.Values.fastPath).enabled }}true{{ end }}
{{- end }}

{{/* What changes something about the host needs CAP_NET_ADMIN, and nothing else does. */}}
{{- define "ndproxyd.capabilities" -}}
{{- $admin := false }}
{{- range .Values.uplinks }}{{ if or .consume_unicast .drop_loops }}{{ $admin = true }}{{ end }}{{ end }}
{{- range .Values.rules }}{{ if .autowire }}{{ $admin = true }}{{ end }}{{ end }}
{{- if include "ndproxyd.fastPath" . }}[NET_RAW, NET_ADMIN, BPF]{{ else if $admin }}[NET_RAW, NET_ADMIN]{{ else }}[NET_RAW]{{ end }}
{{- end }}

{{/* What the allocator reads, of the values in loadBalancer. */}}
{{- define "ndproxyd.allocatorConfig" -}}
version: 1
class: {{ default "ndproxyd" .class }}
without_class: {{ default false .withoutClass }}
pools:
  {{- toYaml .pools | nindent 2 }}
{{- end }}

{{/* What the lease of a node may claim, as a list for CEL: the values, else the prefixes
of the rules for services. Empty where these are discovered, or depend on the uplink. */}}
{{- define "ndproxyd.leasePrefixes" -}}
{{- $prefixes := list }}
{{- $known := true }}
{{- range .Values.rules }}
{{- if eq (toString .method) "services" }}
{{- $prefixes = append $prefixes .prefix }}
{{- if not (regexMatch "^[0-9a-fA-F:.]+/[0-9]+$" (toString .prefix)) }}{{ $known = false }}{{ end }}
{{- end }}
{{- end }}
{{- with .Values.admissionPolicy.prefixes }}{{ $prefixes = . }}{{ $known = true }}{{ end }}
{{- if $known }}{{ range $i, $p := $prefixes }}{{ if $i }}, {{ end }}"{{ $p }}"{{ end }}{{ end }}
{{- end }}

{{- define "ndproxyd.config" -}}
version: 1
{{- if include "ndproxyd.fastPath" . }}
fast_path_directory: /bpf   # AppArmor's profile for containers lets nobody write below /sys
{{- end }}
{{- with .Values.uplinks }}
uplinks:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.rules }}
rules:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $kubernetes := mergeOverwrite (dict "snapshot" (ternary "" "/var/lib/ndproxyd/state.json" (empty .Values.statePath))) (default dict .Values.kubernetes) }}
{{- if and (eq (toString $kubernetes.enabled) "false") .Values.metrics.enabled (eq .Values.metrics.authentication "kubernetes") }}
{{- fail "metrics.authentication=kubernetes asks the API server, and kubernetes.enabled is false: set metrics.authentication=none" }}
{{- end }}
kubernetes:
  {{- toYaml $kubernetes | nindent 2 }}
metrics:
{{- if not .Values.metrics.enabled }}
  listen: ""
{{- else if eq .Values.metrics.authentication "kubernetes" }}
  listen: ":{{ .Values.metrics.port }}"
  authentication: kubernetes
{{- else }}
  listen: "[::1]:{{ .Values.metrics.port }}"
{{- end }}
health:
  listen: "[::1]:{{ .Values.health.port }}"
{{- if ne (toString .Values.health.readyWithoutUplink) "false" }}
  ready_without_uplink: true
{{- end }}
{{- end }}
