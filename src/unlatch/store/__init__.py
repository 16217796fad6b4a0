"""PostgreSQL: all SQL, one module per aggregate."""
