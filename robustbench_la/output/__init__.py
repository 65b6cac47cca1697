"""Reading wing: tables as text and documents."""
