"""Models of the protocol that are searched to the last situation: `unlatch check-protocol`. Know the domain alone."""
