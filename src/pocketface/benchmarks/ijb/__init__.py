"""IJB-B and IJB-C: templates, the 1:1 and the 1:N protocol."""
