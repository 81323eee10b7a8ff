"""What this API promises, as an OpenAPI 3.1 document: put together from the routes, from what each
view says of itself with `@documented`, and from the schemas that read and show."""
