"""What the artist sees and presses: panels, operators, the marking tool, its overlay; each calls a verb."""
