package query

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/query/receipt"
)

const mediaJOSE = "application/jose"

// GetReceipt shows the receipt of an erasure, as it was signed.
func (s *Server) GetReceipt(c echo.Context, id ID) error {
	j, err := s.cfg.Requests.Receipt(c.Request().Context(), id, caller(c).Reaches)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderVary, echo.HeaderAccept)
	accept := c.Request().Header.Get(echo.HeaderAccept)
	if jose := quality(accept, mediaJOSE); jose > 0 && jose >= quality(accept, echo.MIMEApplicationJSON) {
		return c.Blob(http.StatusOK, mediaJOSE, []byte(j.Compact()))
	}
	file, err := receipt.NewFile(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, file)
}

// quality is how much an Accept header wants a media type that it names (RFC
// 9110, section 12.5.1); 0 where it does not name it.
func quality(accept, media string) float64 {
	for part := range strings.SplitSeq(accept, ",") {
		named, params, err := mime.ParseMediaType(part)
		if err != nil || named != media {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			return 1
		}
		return q
	}
	return 0
}

// GetReceiptKeys shows the keys that receipts are verified with.
func (s *Server) GetReceiptKeys(c echo.Context) error {
	keys, err := s.cfg.Requests.ReceiptKeys(c.Request().Context())
	if err != nil {
		return err
	}
	out := JWKS{Keys: make([]JWK, len(keys))}
	for i, k := range keys {
		j := k.JWK()
		out.Keys[i] = JWK{Kty: j.Kty, Crv: j.Crv, X: j.X, Kid: j.Kid, Alg: j.Alg, Use: j.Use}
	}
	return c.JSON(http.StatusOK, out)
}
