"""The views, by audience: fetch, check who asks, validate the form, call one domain function, redirect."""
