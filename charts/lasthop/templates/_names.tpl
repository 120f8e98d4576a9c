{{/* The controller is told by its name: of the Service that proxies look for, and of its own pods. */}}
{{- define "lasthop.name" -}}
lasthop-controller
{{- end }}

{{- define "lasthop.selector" -}}
app.kubernetes.io/name: {{ include "lasthop.name" . }}
{{- end }}

{{/* Name and labels of a namespaced object, indented by the caller. */}}
{{- define "lasthop.metadata" -}}
name: {{ include "lasthop.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "lasthop.selector" . | nindent 2 }}
{{- end }}

{{- define "lasthop.clusterMetadata" -}}
name: {{ include "lasthop.name" . }}
labels:
  {{- include "lasthop.selector" . | nindent 2 }}
{{- end }}

{{/* An image: by digest where one is given, otherwise by tag. Takes [image, chart]. */}}
{{- define "lasthop.image" -}}
{{- $image := index . 0 -}}
{{- $chart := index . 1 -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{ printf "%s:%s" $image.repository ($image.tag | default $chart.AppVersion) }}
{{- end -}}
{{- end }}
