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

{{/* What changes something about the host needs CAP_NET_ADMIN, and nothing else does. */}}
{{- define "ndproxyd.capabilities" -}}
{{- $admin := false }}
{{- range .Values.uplinks }}{{ if or .consume_unicast .drop_loops }}{{ $admin = true }}{{ end }}{{ end }}
{{- range .Values.rules }}{{ if .autowire }}{{ $admin = true }}{{ end }}{{ end }}
{{- if $admin }}[NET_RAW, NET_ADMIN]{{ else }}[NET_RAW]{{ end }}
{{- end }}

{{/* What the allocator reads, of the values in loadBalancer. */}}
{{- define "ndproxyd.allocatorConfig" -}}
version: 1
class: {{ default "ndproxyd" .class }}
without_class: {{ default false .withoutClass }}
pools:
  {{- toYaml .pools | nindent 2 }}
{{- end }}

{{- define "ndproxyd.config" -}}
version: 1
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
{{- end }}
