"""Certificates (考核结果通知书) and admission tickets: numbered, drawn as PDF, stored encrypted, looked
up."""
