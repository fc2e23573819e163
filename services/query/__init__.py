"""The read side: health, tables, audit trail, schemas over HTTP. It has no route, import or database role to write."""
