// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_serial.h"

#include <linux/serial_reg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vas/event.h>

void serial_init(struct serial *serial, struct vas *vas, uint32_t irq)
{
	*serial = (struct serial){ .vas = vas, .irq = irq };
	pthread_mutex_init(&serial->lock, NULL);
	pthread_cond_init(&serial->has_room, NULL);
}

/* ---- registers, with the lock held --------------------------------------------------------- */

static uint8_t reason(const struct serial *serial)
{
	if (serial->state.nr_received && serial->state.ier & UART_IER_RDI)
		return UART_IIR_RDI;
	if (serial->state.is_sent && serial->state.ier & UART_IER_THRI)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* The line is edge-triggered: once more is not once too often. */
static void update(const struct serial *serial)
{
	if (serial->irq && reason(serial) != UART_IIR_NO_INT)
		vas_irq_raise(serial->vas, serial->irq);
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t byte = serial->state.received[0];

	if (!serial->state.nr_received)
		return 0;
	memmove(serial->state.received, serial->state.received + 1, --serial->state.nr_received);
	pthread_cond_signal(&serial->has_room);
	return byte;
}

static uint8_t read_reason(struct serial *serial)
{
	uint8_t iir = reason(serial);

	if (iir == UART_IIR_THRI)
		serial->state.is_sent = 0;
	return serial->state.has_fifo ? iir | 0xc0 : iir;
}

/* Somebody is there and ready; in loopback, what this end says. */
static uint8_t modem_status(const struct serial *serial)
{
	uint8_t mcr = serial->state.mcr;

	if (!(mcr & UART_MCR_LOOP))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	return (uint8_t)((mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t read_register(struct serial *serial, unsigned int at)
{
	if (at < 2 && serial->state.lcr & UART_LCR_DLAB)
		return serial->state.divisor[at];
	switch (at) {
	case UART_RX:
		return read_data(serial);
	case UART_IER:
		return serial->state.ier;
	case UART_IIR:
		return read_reason(serial);
	case UART_LCR:
		return serial->state.lcr;
	case UART_MCR:
		return serial->state.mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE |
		       (serial->state.nr_received ? UART_LSR_DR : 0);
	case UART_MSR:
		return modem_status(serial);
	default:
		return serial->state.scratch;
	}
}

static void write_register(struct serial *serial, unsigned int at, uint8_t value)
{
	if (at < 2 && serial->state.lcr & UART_LCR_DLAB) {
		serial->state.divisor[at] = value;
		return;
	}
	switch (at) {
	case UART_TX:
		putchar(value);
		serial->state.is_sent = 1;
		return;
	case UART_IER:
		serial->state.is_sent |= value & ~serial->state.ier & UART_IER_THRI;
		serial->state.ier = value & 0xf;
		return;
	case UART_FCR:
		serial->state.has_fifo = value & UART_FCR_ENABLE_FIFO;
		return;
	case UART_LCR:
		serial->state.lcr = value;
		return;
	case UART_MCR:
		serial->state.mcr = value & 0x1f;
		return;
	case UART_SCR:
		serial->state.scratch = value;
		return;
	}
}

void serial_io(struct serial *serial, const struct machine_io *io)
{
	unsigned int at = (unsigned int)(io->addr - SERIAL_PORT);
	uint8_t *bytes = io->data;

	pthread_mutex_lock(&serial->lock);
	if (!io->is_write)
		memset(bytes, 0, io->len);
	if (io->is_write)
		write_register(serial, at, *bytes);
	else
		*bytes = read_register(serial, at);
	update(serial);
	pthread_mutex_unlock(&serial->lock);
}

/* ---- elsewhere ----------------------------------------------------------------------------- */

void serial_save(struct serial *serial, struct serial_state *state)
{
	pthread_mutex_lock(&serial->lock);
	*state = serial->state;
	pthread_mutex_unlock(&serial->lock);
}

void serial_load(struct serial *serial, const struct serial_state *state)
{
	pthread_mutex_lock(&serial->lock);
	serial->state = *state;
	if (serial->state.nr_received > sizeof(serial->state.received))
		serial->state.nr_received = 0;
	update(serial);
	pthread_mutex_unlock(&serial->lock);
}

/* ---- stdin --------------------------------------------------------------------------------- */

static void receive(struct serial *serial, uint8_t byte)
{
	pthread_mutex_lock(&serial->lock);
	while (serial->state.nr_received == sizeof(serial->state.received))
		pthread_cond_wait(&serial->has_room, &serial->lock);
	serial->state.received[serial->state.nr_received++] = byte;
	update(serial);
	pthread_mutex_unlock(&serial->lock);
}

static void *listen_thread(void *arg)
{
	uint8_t byte;

	while (read(STDIN_FILENO, &byte, 1) == 1)
		receive(arg, byte);
	return NULL;
}

int serial_listen(struct serial *serial)
{
	pthread_t thread;
	int err = -pthread_create(&thread, NULL, listen_thread, serial);

	if (!err)
		pthread_detach(thread);
	return err;
}
