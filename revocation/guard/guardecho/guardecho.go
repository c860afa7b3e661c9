// Package guardecho is package guard as Echo middleware. It is a package of its
// own so that an application on net/http does not build Echo.
package guardecho

import (
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/revocation/guard"
)

// Middleware lets pass what carries a token that passes g, for as long as it
// does: see guard.Follow. Handlers find the token with guard.From and the
// context of the request.
func Middleware(g *guard.Guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, ok := g.Authorize(c.Response(), c.Request())
			if !ok {
				return nil // answered
			}
			w, r, end := g.Follow(c.Response().Writer, r)
			defer end()
			c.Response().Writer = w
			c.SetRequest(r)
			return next(c)
		}
	}
}
