#include "textflag.h"

// func prefetch(p unsafe.Pointer, tag, row int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD tag+8(FP), R1
	MOVD row+16(FP), R2
	ADD  R0, R1
	ADD  R0, R2
	SUB  $24, R2
	PRFM (R0), PLDL1KEEP
	PRFM (R1), PLDL1KEEP
	PRFM (R2), PLDL1KEEP
	ADD  $64, R2
	PRFM (R2), PLDL1KEEP
	RET

// func prefetchLine(p unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET
