package workload

import "github.com/rescindhq/rescind/events"

var (
	audience = events.Audience{"api.example.com"}
	scopes   = []string{"openid orders", "openid profile", "orders:read", "openid payments"}
	reasons  = []string{"expired", "expired", "expired", "revoked", "audience", "signature"}
	services = []string{"/orders", "/payments", "/profile", "/search", "/basket", "/gateway/eu", "/gateway/us", "/mobile"}
	clients  = []string{
		"web", "ios", "android", "kiosk", "partner-1", "partner-2", "partner-3", "backoffice", "desktop", "tv",
		"watch", "cli", "batch", "support", "shop", "blog", "pos-1", "pos-2", "api", "beta",
	}
	// userAgents by popularity: a busy issuer's people use its own apps.
	userAgents = []string{
		"Acme/8.2 (iPhone; iOS 26.1)",
		"Acme/8.2 (Android 16; Pixel 9)",
		"Acme/8.2 (Android 15; SM-S921B)",
		"Acme/8.1 (iPhone; iOS 26.0)",
		"okhttp/5.1.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
		"Acme/8.2 (Android 15; SM-A556B)",
		"Acme/8.1 (Android 14; M2101K6G)",
		"Acme/8.0 (iPad; iPadOS 26.1)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Go-http-client/2.0",
		"Acme/7.9 (iPhone; iOS 18.6)",
		"python-requests/2.32.5",
		"Acme/8.2 (Android 16; CPH2671)",
		"Apache-HttpClient/5.5 (Java/21.0.9)",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
		"Acme-TV/3.4 (webOS 25)",
		"Acme-TV/3.4 (Tizen 9.0)",
		"axios/1.12.2",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
		"Acme/8.0 (Android 13; SM-A336B)",
		"curl/8.16.0",
		"Acme-POS/2.11",
		"Acme/7.8 (Android 12; moto g52)",
		"Acme-Watch/1.6 (watchOS 26.1)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"acme-cli/0.9.4",
		"node",
		"Acme/7.2 (iPhone; iOS 17.7)",
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"PostmanRuntime/7.49.1",
		"Dart/3.9 (dart:io)",
		"Java/17.0.17",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
		"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
)
