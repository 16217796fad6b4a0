"""PostgreSQL: all SQL of Unlatch, one module per aggregate."""
