package events

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// HealthClaims lists the claim names that mark health information under HIPAA.
// An event with one of them in data, personal{} or attributes is refused,
// however the name is written: patientId and https://issuer.example/patient-id
// are patient_id.
func HealthClaims() []string {
	return []string{
		"allergies", "blood_type", "condition", "diagnoses", "diagnosis", "disability", "genetic_data",
		"health_condition", "health_plan_id", "health_record", "hiv_status", "icd10", "icd_10", "icd11", "immunization",
		"insurance_member_id", "lab_result", "lab_results", "medical_history", "medical_record", "medical_record_number",
		"medication", "medications", "mrn", "patient_id", "prescription", "prescriptions", "procedure_code", "treatment",
	}
}

// healthClaims is the listed name of each plain one.
var healthClaims = func() map[string]string {
	m := map[string]string{}
	for _, name := range HealthClaims() {
		m[plainName(name)] = name
	}
	return m
}()

// healthClaim reports whether a member of that name is a health claim.
func healthClaim(name string) bool {
	if len(name) > MaxTextBytes {
		return false
	}
	var buf [64]byte
	plain, ok := plainASCII(buf[:0], name)
	if !ok {
		return healthClaims[plainName(name)] != ""
	}
	return healthClaims[string(plain)] != ""
}

// plainASCII is plainName of a name in ASCII that fits b, without allocating.
func plainASCII(b []byte, name string) ([]byte, bool) {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			return nil, false
		case c == '/' || c == ':' || c == '#':
			b = b[:0]
		case c == '_' || c == '-' || c == ' ':
		case len(b) == cap(b):
			return nil, false
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return b, true
}

// plainName is name without its namespace, case and separators.
func plainName(name string) string {
	name = name[strings.LastIndexAny(name, "/:#")+1:]
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

func checkHealth(d *Data) *Refusal {
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		if healthClaim(name) {
			return refuseHealth("data.attributes", name)
		}
	}
	return healthInside("data.personal", d.Personal)
}

func refuseHealth(where, name string) *Refusal {
	return refuse(ReasonHealth, "%s: %q is a health claim: a token must not carry it", where, healthClaims[plainName(name)])
}

// healthInside refuses a health claim among the names inside v.
func healthInside(where string, v any) *Refusal {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if healthClaim(name) {
				return refuseHealth(where, name)
			}
			if r := healthInside(where, v[name]); r != nil {
				return r
			}
		}
	case []any:
		for _, child := range v {
			if r := healthInside(where, child); r != nil {
				return r
			}
		}
	}
	return nil
}
