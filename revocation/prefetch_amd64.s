#include "textflag.h"

// func prefetch(p unsafe.Pointer, tag, row int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ tag+8(FP), BX
	MOVQ row+16(FP), CX
	PREFETCHT0 (AX)
	PREFETCHT0 (AX)(BX*1)
	PREFETCHT0 -24(AX)(CX*1)
	PREFETCHT0 40(AX)(CX*1)
	RET

// func prefetchLine(p unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	RET
