package query

//go:generate go tool oapi-codegen -config oapi.yaml ../schemas/openapi.yaml
