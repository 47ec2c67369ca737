"""The page of a run in a real browser, as people use it; `make test-page` gets Playwright, axe-core and TypeScript."""
