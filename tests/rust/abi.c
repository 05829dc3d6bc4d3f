// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Sizes, offsets and constants as C has them, a line each, for abi.rs. */
#include <stddef.h>
#include <stdio.h>

#include <vas/dirty.h>
#include <vas/vas.h>

#define SIZE(type)	    printf("%s %zu\n", #type, sizeof(struct type))
#define OFFSET(type, field) printf("%s.%s %zu\n", #type, #field, offsetof(struct type, field))
#define CONSTANT(name)	    printf("%s %llu\n", #name, (unsigned long long)(name))

int main(void)
{
#include "abi.def"
	return 0;
}
