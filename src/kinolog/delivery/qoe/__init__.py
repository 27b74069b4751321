"""How viewers fare: what players report (CMCD), and the figures made of it."""
