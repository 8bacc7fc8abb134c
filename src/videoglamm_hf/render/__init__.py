"""What a person looks at: overlays, legends, contact sheets, videos."""
