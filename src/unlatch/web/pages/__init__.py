"""What all pages share: the table of pages, rendering, assets, sessions. Each reader's pages are a folder beside."""
