"""Reading wing: results as tables of numbers, with their statistics. No text layout."""
