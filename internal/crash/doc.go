// Package crash (draft)
package crash
