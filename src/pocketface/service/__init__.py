"""Verification, identification and enrolment over HTTP, and the page that uses them."""
