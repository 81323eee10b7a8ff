"""The OpenAPI 3.1 document, built from the routes, the schemas, and what each view declares with
`@describe_operation`."""
