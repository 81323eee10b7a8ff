"""SQL that several statements share. `-- include: payment_columns` on a line of its own stands for
the text of `payment_columns.sql`; in `-- include: due_items(refunds)`, refunds replaces {table}."""
