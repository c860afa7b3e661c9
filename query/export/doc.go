// Package export answers requests for access and portability: a file with all
// that is known of a person, which only they can open.
package export
