"""Certificates (考核结果通知书): numbered, drawn, sealed, verified."""
