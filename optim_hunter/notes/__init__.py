"""Documents whose code runs: `optim-hunter notes FILE.md -o FILE.html`."""
