"""The console: pages for people, made by the server. They work without JavaScript and load nothing from other hosts.

Jinja2 is imported when the first page is rendered, so that the API on Lambda starts without it.
"""
