package callback_test

import (
	"encoding/json"
	"os"
)

// vectorFields is the fields of testdata/vector.json.
var vectorFields = func() map[string]string {
	var v struct {
		Fields map[string]string `json:"fields"`
	}
	b, err := os.ReadFile("testdata/vector.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		panic(err)
	}
	return v.Fields
}()
