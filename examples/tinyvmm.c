// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A small VMM. It makes (or is handed, or sent) a vas, passes it to KVM, runs a guest in it, and
 * passes it to whoever connects to its socket: foo, which serves the guest's echo device and never
 * sees KVM.
 */
#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/event.h>
#include <vas/serve.h>

#include "echo.h"
#include "tinyvmm_acpi.h"
#include "tinyvmm_devices.h"
#include "tinyvmm_linux.h"
#include "tinyvmm_machine.h"
#include "tinyvmm_migrate.h"
#include "tinyvmm_monitor.h"
#include "tinyvmm_serial.h"
#include "tinyvmm_socket.h"

#define FLAT_ENTRY 0x100000ull

#define PORT_CONSOLE  0xe9
#define PORT_KEYBOARD 0x64 /* the controller, of which there is what reboots */
#define REBOOT	      0xfe
#define PORT_EXIT     0xf4 /* a byte: the status that tinyvmm exits with */

static const char usage[] =
	"usage: tinyvmm [options] GUEST\n"
	"       tinyvmm [options] --incoming PATH\n"
	"Run GUEST: a Linux kernel (a bzImage, or an ELF file with an entry for PVH), another ELF file,\n"
	"or a flat image (loaded and entered at 1 MiB). All are entered in 32-bit protected mode. A\n"
	"guest prints on its serial port, ttyS0, or on port 0xe9, and ends as it reboots, or by a byte\n"
	"to port 0xf4.\n"
	"  --append TEXT     the kernel's command line (default \"console=ttyS0 reboot=t panic=-1\")\n"
	"  --initrd FILE     its initial RAM disk\n"
	"  --device SPEC     a PCI device; may be repeated; [,slot=N] puts it there:\n"
	"                      blk,path=FILE[,queues=N]   a disk\n"
	"                      bus-blk,name=NAME          a disk that a process serves: --serve,\n"
	"                                                 vas device blk NAME --guest=PATH\n"
	"                      bus-console,name=NAME      a console likewise, hvc0\n"
	"                      bus-net,name=NAME          a network\n"
	"                      bus-rng,name=NAME          random bytes\n"
	"                      bus-vsock,name=NAME        sockets\n"
	"                      vfio,host=ADDRESS          a device of the host's, by vfio-pci\n"
	"                      vhost-net,tap=NAME         a network that the host's kernel serves\n"
	"                      vhost-user-blk,path=SOCK   a disk that another program serves there\n"
	"                      vhost-user-fs,path=SOCK,name=TAG   a folder likewise\n"
	"                      vhost-user-net,path=SOCK   a network\n"
	"                      vhost-user-rng,path=SOCK   random bytes\n"
	"                      vhost-vsock,cid=N          sockets that the host's kernel serves\n"
	"  --fd N            use the vas behind fd N; it must have no owner\n"
	"  --mem MIB         else make one with so much RAM (default 16)\n"
	"  --serve PATH      a socket for processes that serve its devices\n"
	"  --socket PATH     pass the vas to everyone who connects there\n"
	"  --cpus N          vCPUs (default 1)\n"
	"  --poke GPA=VALUE  store 64 bits before the guest starts; may be repeated\n"
	"  --dirty-ring      let KVM log dirty pages in rings\n"
	"  --iommu           a virtio-iommu, in slot 31, and before it disks of blk and devices of\n"
	"                    bus-*; and tables of ACPI, by which Linux finds that out\n"
	"  --monitor PATH    a socket for commands: plug SPEC [SECONDS], of a device for the guest that\n"
	"                    runs; unplug NAME [SECONDS]; remove NAME\n"
	"  --ports N         root ports, which devices are plugged into while the guest runs; the first\n"
	"                    is in slot 31, the next in 30, ... (default 0)\n"
	"  --migrate PATH    move to the tinyvmm that connects there\n"
	"  --incoming PATH   take over the guest of the tinyvmm there, as it runs; its devices are said\n"
	"                    once more, as they were, and what they work on has to be here as well\n";

struct options {
	int fd;
	uint64_t mem;
	const char *socket;
	const char *serve;
	const char *monitor;
	const char *migrate;
	const char *incoming;
	unsigned int cpus;
	uint32_t kvm_flags;
	const char *guest;
	const char *append;
	const char *initrd;
	const char *devices[DEVICES_MAX];
	unsigned int nr_devices;
	unsigned int nr_ports;
	int has_iommu;
	const char *pokes[64];
	unsigned int nr_pokes;
};

static struct values {
	struct vas_mapping *mapping; /* of the ring; NULL: nobody gets the values */
	uint32_t doorbell;
} values;

static struct machine machine;
static struct serial serial;
static struct acpi_state acpi; /* with an IOMMU only */
static struct devices devices;
static struct vas_serve *serve;
static struct options options = {
	.fd = -1, .mem = 16 << 20, .cpus = 1, .append = "console=ttyS0 reboot=t panic=-1"
};

static void fail(const char *what, int err)
{
	fprintf(stderr, "tinyvmm: %s: %s (%s)\n", what, vas_error(), strerror(-err));
	exit(1);
}

static void check(const char *what, int err)
{
	if (err < 0)
		fail(what, err);
}

/* ---- devices ------------------------------------------------------------------------------- */

/* An eventfd cannot carry a value: post it, then ring. A full ring stops this vCPU, not the VMM. */
static void value_post(struct machine *machine, uint64_t value)
{
	struct values *values = machine->priv;
	int err;

	if (!values->mapping)
		return;
	while ((err = vas_value_ring_post(vas_mapping_addr(values->mapping), VALUES_NR, value)) ==
		       -EAGAIN &&
	       !machine->stopped)
		sched_yield();
	if (!err)
		err = vas_doorbell_ring(machine->vas, values->doorbell);
	if (err)
		fprintf(stderr, "tinyvmm: a value is lost: %s\n", strerror(-err));
}

static void port_write(struct machine *machine, const struct machine_io *io)
{
	uint64_t value = 0;

	memcpy(&value, io->data, io->len);
	if (io->addr == PORT_CONSOLE)
		putchar((int)value);
	else if (io->addr == VALUES_PORT)
		value_post(machine, value);
	else if (io->addr == PORT_EXIT)
		machine_stop(machine, (uint8_t)value);
	else if (io->addr == PORT_KEYBOARD && value == REBOOT)
		machine_stop(machine, 0);
}

static void device_io(struct machine *machine, const struct machine_io *io)
{
	if (devices_io(&devices, io))
		return;
	if (io->is_port && io->addr - SERIAL_PORT < SERIAL_PORTS)
		serial_io(&serial, io);
	else if (options.has_iommu && io->is_port && io->addr - ACPI_PORT < ACPI_PORTS)
		acpi_io(&acpi, io);
	else if (io->is_port && io->is_write)
		port_write(machine, io);
	else if (!io->is_write)
		memset(io->data, 0xff, io->len);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void region_add(struct vas *vas, const char *name, uint64_t gpa, uint64_t size)
{
	struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa };

	snprintf(region.name, sizeof(region.name), "%s", name);
	check(name, vas_region_add(vas, &region, NULL));
}

static struct vas *vas_make(const struct options *o)
{
	struct vas_options options = { .limit = o->mem + VAS_PAGE_SIZE, .name = "tinyvmm" };
	struct vas *vas;

	if (o->fd >= 0) {
		check("--fd", vas_bind(o->fd, VAS_BIND_ADOPT, &vas));
		return vas;
	}
	check("create", vas_create(&options, &vas));
	region_add(vas, "ram", 0, o->mem);
	region_add(vas, VALUES_REGION, o->mem, VAS_PAGE_SIZE);
	return vas;
}

/* Says where it begins, and what the machine's registers lead it to. */
static void guest_load(struct vas *vas, const struct options *o, struct linux_guest *guest)
{
	FILE *file = fopen(o->guest, "re");
	struct stat st;
	char *image;
	int is_linux;

	if (!file || fstat(fileno(file), &st))
		check(o->guest, -errno);
	image = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
	if (image == MAP_FAILED)
		check(o->guest, -errno);
	*guest = (struct linux_guest){ .image = image,
				       .size = st.st_size,
				       .initrd = o->initrd,
				       .command_line = o->append,
				       .ram = o->mem,
				       .nr_cpus = o->cpus,
				       .entry = FLAT_ENTRY };
	is_linux = linux_load(vas, guest);
	check(o->guest, is_linux);
	if (is_linux)
		; /* it is there */
	else if (guest->size > sizeof(ELFMAG) && !memcmp(image, ELFMAG, SELFMAG))
		check(o->guest, linux_load_elf(vas, image, guest->size, &guest->entry));
	else
		check(o->guest, vas_write(vas, FLAT_ENTRY, image, guest->size, NULL));
	munmap(image, guest->size);
	fclose(file);
}

static void poke(struct vas *vas, const char *arg)
{
	char *end;
	uint64_t gpa = strtoull(arg, &end, 0);

	if (*end != '=')
		check("--poke wants GPA=VALUE", -EINVAL);
	check(arg, vas_store_le64(vas, gpa, strtoull(end + 1, NULL, 0), __ATOMIC_RELAXED));
}

/* ---- events -------------------------------------------------------------------------------- */

static uint32_t event_add(struct vas *vas, struct vas_event event, const char *name)
{
	static uint32_t id;
	struct vas_event there;

	if (!vas_event_find_by_name(vas, name, &there))
		vas_event_remove(vas, there.id); /* the last owner's, whose eventfds are gone */
	event.id = ++id;
	snprintf(event.name, sizeof(event.name), "%s", name);
	check(name, vas_event_add(vas, &event));
	return id;
}

static void events_make(struct machine *machine, struct values *values)
{
	struct vas_event doorbell = { .kind = VAS_EVENT_DOORBELL,
				      .flags = VAS_EVENT_PIO,
				      .len = 4 };
	struct vas_event irq = { .kind = VAS_EVENT_IRQ, .gsi = ECHO_GSI };
	struct vas_event serial_irq = { .kind = VAS_EVENT_IRQ, .gsi = SERIAL_GSI };
	uint32_t id;
	struct vas *vas = machine->vas;

	doorbell.addr = ECHO_PORT;
	check("tie", vas_kvm_attach_event(machine->kvm, event_add(vas, doorbell, ECHO_DOORBELL)));
	check("tie", vas_kvm_attach_event(machine->kvm, event_add(vas, irq, ECHO_IRQ)));
	doorbell.addr = VALUES_PORT;
	values->doorbell = event_add(vas, doorbell, VALUES_DOORBELL); /* rung by value_post() */
	id = event_add(vas, serial_irq, "serial");
	check("tie", vas_kvm_attach_event(machine->kvm, id));
	serial_init(&serial, vas, id);
}

/*
 * Map the ring (0), or let it go (1). A vas that was handed down may have no such region: then
 * nobody gets the values.
 */
static void values_quiet(struct machine *machine, int on)
{
	struct values *values = machine->priv;
	struct vas *vas = machine->vas;
	struct vas_region regions[64];
	ssize_t nr = on ? 0 : vas_regions(vas, regions, 64), i;

	vas_mapping_destroy(values->mapping);
	values->mapping = NULL;
	for (i = 0; i < nr && i < 64; i++)
		if (!strcmp(regions[i].name, VALUES_REGION))
			check("values", vas_mapping_create(vas, regions[i].gpa, VAS_PAGE_SIZE,
							   VAS_MAPPING_WRITE, &values->mapping));
}

/* ---- foo ----------------------------------------------------------------------------------- */

struct server {
	struct vas *vas;
	struct pollfd fds[32]; /* the socket that listens, then one a peer */
	unsigned int nr;
};

static void peer_accept(struct server *server)
{
	int fd = accept4(server->fds[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int err;

	if (fd < 0)
		return;
	err = server->nr < 32 ? vas_send_fds(server->vas, fd, 0) : -EMFILE;
	if (err) {
		fprintf(stderr, "tinyvmm: a peer could not be served: %s\n", strerror(-err));
		close(fd);
		return;
	}
	fprintf(stderr, "tinyvmm: a peer has the vas\n");
	server->fds[server->nr++] = (struct pollfd){ .fd = fd, .events = POLLRDHUP };
}

/* Peers say nothing; that they are gone is worth a line, and nothing to the guest. */
static void *server_thread(void *arg)
{
	struct server *server = arg;
	unsigned int i;

	while (poll(server->fds, server->nr, -1) >= 0) {
		for (i = server->nr - 1; i; i--) {
			if (!server->fds[i].revents)
				continue;
			fprintf(stderr, "tinyvmm: a peer is gone\n");
			close(server->fds[i].fd);
			server->fds[i] = server->fds[--server->nr];
		}
		if (server->fds[0].revents)
			peer_accept(server);
	}
	return NULL;
}

static void server_start(struct server *server, const char *path)
{
	int fd = socket_listen(path);
	pthread_t thread;

	check(path, fd);
	server->fds[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	server->nr = 1;
	fprintf(stderr, "tinyvmm: listening on %s\n", path);
	check("thread", -pthread_create(&thread, NULL, server_thread, server));
	pthread_detach(thread);
}

/* ---- main ---------------------------------------------------------------------------------- */

static const struct option longs[] = {
	{ "fd", 1, 0, 'f' },
	{ "mem", 1, 0, 'm' },
	{ "socket", 1, 0, 's' },
	{ "cpus", 1, 0, 'c' },
	{ "poke", 1, 0, 'p' },
	{ "dirty-ring", 0, 0, 'd' },
	{ "migrate", 1, 0, 'o' },
	{ "incoming", 1, 0, 'i' },
	{ "append", 1, 0, 'a' },
	{ "initrd", 1, 0, 'r' },
	{ "serve", 1, 0, 'S' },
	{ "device", 1, 0, 'D' },
	{ "monitor", 1, 0, 'M' },
	{ "ports", 1, 0, 'P' },
	{ "iommu", 0, 0, 'I' },
	{ "help", 0, 0, 'h' },
	{ 0 },
};

static void options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		if (c == 'f')
			o->fd = atoi(optarg);
		else if (c == 'm')
			o->mem = strtoull(optarg, NULL, 0) << 20;
		else if (c == 's')
			o->socket = optarg;
		else if (c == 'M')
			o->monitor = optarg;
		else if (c == 'P')
			o->nr_ports = (unsigned int)atoi(optarg);
		else if (c == 'o')
			o->migrate = optarg;
		else if (c == 'i')
			o->incoming = optarg;
		else if (c == 'c')
			o->cpus = atoi(optarg);
		else if (c == 'p' && o->nr_pokes < 64)
			o->pokes[o->nr_pokes++] = optarg;
		else if (c == 'S')
			o->serve = optarg;
		else if (c == 'a')
			o->append = optarg;
		else if (c == 'r')
			o->initrd = optarg;
		else if (c == 'D' && o->nr_devices < DEVICES_MAX)
			o->devices[o->nr_devices++] = optarg;
		else if (c == 'I')
			o->has_iommu = 1;
		else if (c == 'd')
			o->kvm_flags = VAS_KVM_DIRTY_RING;
		else {
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	o->guest = optind + 1 == argc ? argv[optind] : NULL;
	if (!o->guest == !o->incoming || !o->cpus || o->cpus > MACHINE_MAX_VCPUS ||
	    o->mem >= DEVICES_WINDOW || o->nr_ports > DEVICES_MAX_PORTS) {
		fputs(usage, stderr);
		exit(2);
	}
}

static void guest_start(struct machine *machine, const struct options *options)
{
	struct vas *vas = vas_make(options);
	struct linux_guest guest;
	unsigned int i;

	check("KVM", machine_create(machine, vas, options->cpus, options->kvm_flags));
	guest_load(vas, options, &guest);
	check("entry", machine_enter_at(machine, guest.entry, guest.info));
	for (i = 0; i < options->nr_pokes; i++)
		poke(vas, options->pokes[i]);
}

/* Who comes to the socket finds all that are on the bus. */
static int plug_devices(struct machine *machine)
{
	int err;

	devices.nr_ports = options.nr_ports;
	devices.has_iommu = options.has_iommu;
	err = devices_create(&devices, machine, options.devices, options.nr_devices);
	if (!err && options.serve)
		err = vas_serve(machine->vas, options.serve, 0600, &serve);
	if (!err)
		err = devices_plug(&devices, machine);
	return err;
}

/* What a guest that boots finds out by them alone. */
static void tables_write(struct machine *machine)
{
	uint16_t endpoints[DEVICES_MAX];
	struct acpi_topology topology = { .nr_cpus = options.cpus };

	if (!options.has_iommu)
		return;
	devices_topology(&devices, &topology, endpoints);
	check("ACPI", acpi_write_tables(machine->vas, &topology));
}

static void unplug_devices(void)
{
	devices_destroy(&devices);
	if (serve)
		vas_serve_end(serve);
	serve = NULL;
}

/* All is there, the vCPUs and the devices stand. */
static void machine_come(struct serial_state *serial)
{
	struct arrival arrival = {
		.machine = &machine,
		.devices = &devices,
		.kvm_flags = options.kvm_flags,
		.plug = plug_devices,
		.unplug = unplug_devices,
	};

	check("incoming", machine_receive(&arrival, options.incoming));
	*serial = arrival.serial;
	acpi = arrival.acpi;
}

int main(int argc, char **argv)
{
	static struct mover mover = {
		.machine = &machine,
		.devices = &devices,
		.serial = &serial,
		.acpi = &acpi,
		.quiet = values_quiet,
	};
	static struct monitor monitor;
	static struct server server;
	struct serial_state serial_state;
	int status;

	options_parse(&options, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (options.incoming)
		machine_come(&serial_state);
	else
		guest_start(&machine, &options);
	machine.io = device_io;
	machine.priv = &values;
	values_quiet(&machine, 0);
	events_make(&machine, &values);
	server.vas = machine.vas;
	if (options.incoming) {
		serial_load(&serial, &serial_state);
	} else {
		check("--device", plug_devices(&machine));
		tables_write(&machine);
	}
	check("stdin", serial_listen(&serial));
	if (options.socket)
		server_start(&server, options.socket);
	if (options.monitor)
		check("monitor", monitor_start(&monitor, &devices, options.monitor));
	if (options.migrate)
		check("migrate", mover_start(&mover, options.migrate));
	devices_resume(&devices);
	check("vCPUs", machine_start(&machine));
	status = machine_wait(&machine);
	fflush(stdout);
	if (options.migrate) {
		mover_stop(&mover);
		unlink(options.migrate);
	}
	if (options.monitor) {
		monitor_stop(&monitor);
		unlink(options.monitor);
	}
	if (options.socket)
		unlink(options.socket);
	unplug_devices();
	machine_destroy(&machine);
	vas_mapping_destroy(values.mapping);
	return status; /* the server's thread may be using the vas: it goes with the process */
}
