"""Rendered hands with exact labels: poses, skins, scenes, the render bank and videos."""
