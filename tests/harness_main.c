// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "harness.h"

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
