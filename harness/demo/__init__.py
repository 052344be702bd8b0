"""A page to try it: a picture, a sentence, and what becomes of both, from candidates to masks."""
