"""micdrop's protocol, server side: `docs/protocols/micdrop.md` in code."""
