"""The reports, one module each with ``main(argv) -> int``: options first, then what the report needs is imported."""
