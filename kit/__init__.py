"""Technical parts that know no business noun: journal, views, bus, HTTP edge, rules, settings."""
