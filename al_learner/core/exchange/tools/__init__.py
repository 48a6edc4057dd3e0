"""The formats of other annotation tools, a tool in each module. No database."""
