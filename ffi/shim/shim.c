#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "shim.h"

#define SAME_PLACE(field) \
	_Static_assert(offsetof(struct vr_mbuf, field) == offsetof(struct rte_mbuf, field) && \
			sizeof(((struct vr_mbuf *)0)->field) == sizeof(((struct rte_mbuf *)0)->field), \
		"struct rte_mbuf of this DPDK release keeps " #field " elsewhere: adapt struct vr_mbuf")

SAME_PLACE(buf_addr);
SAME_PLACE(data_off);
SAME_PLACE(refcnt);
SAME_PLACE(nb_segs);
SAME_PLACE(port);
SAME_PLACE(ol_flags);
SAME_PLACE(packet_type);
SAME_PLACE(pkt_len);
SAME_PLACE(data_len);
SAME_PLACE(vlan_tci);
SAME_PLACE(vlan_tci_outer);
SAME_PLACE(buf_len);
SAME_PLACE(pool);
SAME_PLACE(tx_offload);
_Static_assert(offsetof(struct vr_mbuf, rss) == offsetof(struct rte_mbuf, hash.rss), "rss");
_Static_assert(sizeof(struct vr_mbuf) <= sizeof(struct rte_mbuf), "a view is no larger than what it shows");

uint16_t vr_rx_burst(uint16_t port, uint16_t queue, struct vr_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, (struct rte_mbuf **)mbufs, count);
}

uint16_t vr_tx_burst(uint16_t port, uint16_t queue, struct vr_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, (struct rte_mbuf **)mbufs, count);
}

struct rte_mempool *vr_pool_create(const char *name, uint32_t size, uint32_t cache, uint16_t room)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = room };
	/*
	 * By default no buffer crosses a page. net_af_xdp tells the kernel that the pool is as long as its buffers: what gaps push
	 * beyond that end, the kernel drops without a word.
	 */
	unsigned int flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
	struct rte_mempool *pool = rte_mempool_create_empty(name, size, sizeof(struct rte_mbuf) + room, cache, sizeof(private),
							    SOCKET_ID_ANY, flags);
	int failed;

	if (pool == NULL)
		return NULL;
	failed = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (failed == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		failed = rte_mempool_populate_default(pool);
	}
	if (failed < 0) {
		rte_mempool_free(pool);
		rte_errno = -failed;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

struct vr_mbuf *vr_mbuf_alloc(struct rte_mempool *pool)
{
	return (struct vr_mbuf *)rte_pktmbuf_alloc(pool);
}

void vr_mbuf_free(struct vr_mbuf *mbuf)
{
	rte_pktmbuf_free((struct rte_mbuf *)mbuf);
}

int vr_mbuf_alloc_bulk(struct rte_mempool *pool, struct vr_mbuf **mbufs, uint16_t count)
{
	return rte_pktmbuf_alloc_bulk(pool, (struct rte_mbuf **)mbufs, count);
}

void vr_mbuf_free_bulk(struct vr_mbuf **mbufs, uint16_t count)
{
	rte_pktmbuf_free_bulk((struct rte_mbuf **)mbufs, count);
}

struct vr_mbuf *vr_mbuf_gather(struct rte_mempool *pool, struct vr_mbuf *packet)
{
	struct rte_mbuf *from = (struct rte_mbuf *)packet;
	struct rte_mbuf *to = pool != NULL ? rte_pktmbuf_alloc(pool) : NULL;
	const struct rte_mbuf *segment;
	uint32_t length = 0;

	for (segment = from; segment != NULL; segment = segment->next)
		length += segment->data_len;
	if (to != NULL && length <= rte_pktmbuf_tailroom(to)) {
		for (segment = from; segment != NULL; segment = segment->next)
			memcpy(rte_pktmbuf_append(to, segment->data_len), rte_pktmbuf_mtod(segment, const void *), segment->data_len);
		to->ol_flags |= from->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
		to->packet_type = from->packet_type;
		to->vlan_tci = from->vlan_tci;
		to->vlan_tci_outer = from->vlan_tci_outer;
		to->hash = from->hash;
		to->tx_offload = from->tx_offload;
		to->port = from->port;
	} else {
		rte_pktmbuf_free(to);
		to = NULL;
	}
	rte_pktmbuf_free(from);
	return (struct vr_mbuf *)to;
}

#ifdef VR_VHOST
/* Written by the thread that serves vhost-user sockets, read by workers. */
static struct {
	_Atomic uint64_t queues;
	_Atomic uint32_t takes;
} guests[RTE_MAX_ETHPORTS];

static uint32_t taken(uint16_t port)
{
	uint64_t features = 0;
	int vid = rte_eth_vhost_get_vid_from_port_id(port);
	uint32_t bits = 0;

	if (vid < 0 || rte_vhost_get_negotiated_features(vid, &features) != 0)
		return 0;
	/* a segment that is larger than a buffer wants several */
	if (!(features & (1ULL << VIRTIO_NET_F_MRG_RXBUF)))
		return 0;
	if (features & (1ULL << VIRTIO_NET_F_GUEST_TSO4))
		bits |= VR_GUEST_TSO4;
	if (features & (1ULL << VIRTIO_NET_F_GUEST_TSO6))
		bits |= VR_GUEST_TSO6;
	return bits;
}

static int guest_changed(uint16_t port, enum rte_eth_event_type type, void *argument, void *answer)
{
	struct rte_eth_vhost_queue_event event;

	(void)argument;
	(void)answer;
	if (type == RTE_ETH_EVENT_INTR_LSC) {
		int up = vr_link_up(port) == 1;

		atomic_store(&guests[port].takes, up ? taken(port) : 0);
		if (!up)
			atomic_store(&guests[port].queues, 0);
	}
	while (rte_eth_vhost_get_queue_event(port, &event) == 0) {
		uint64_t bit = event.queue_id < 64 ? 1ULL << event.queue_id : 0;

		if (event.rx)
			continue;
		if (event.enable)
			atomic_fetch_or(&guests[port].queues, bit);
		else
			atomic_fetch_and(&guests[port].queues, ~bit);
	}
	return 0;
}

int vr_guest_watch(uint16_t port)
{
	struct rte_eth_dev_info info;
	int failed = rte_eth_dev_info_get(port, &info);

	if (failed != 0)
		return failed;
	if (strcmp(info.driver_name, "net_vhost") != 0)
		return -ENOTSUP;
	atomic_store(&guests[port].queues, 0);
	atomic_store(&guests[port].takes, 0);
	failed = rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, guest_changed, NULL);
	if (failed == 0)
		failed = rte_eth_dev_callback_register(port, RTE_ETH_EVENT_QUEUE_STATE, guest_changed, NULL);
	return failed;
}

void vr_guest_forget(uint16_t port)
{
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, guest_changed, NULL);
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_QUEUE_STATE, guest_changed, NULL);
}

uint32_t vr_guest(uint16_t port, uint16_t queue)
{
	uint64_t queues = atomic_load_explicit(&guests[port].queues, memory_order_relaxed);

	if (queue >= 64 || !(queues >> queue & 1))
		return 0;
	return VR_GUEST_QUEUE | atomic_load_explicit(&guests[port].takes, memory_order_relaxed);
}
#else
int vr_guest_watch(uint16_t port)
{
	(void)port;
	return -ENOTSUP;
}

void vr_guest_forget(uint16_t port)
{
	(void)port;
}

uint32_t vr_guest(uint16_t port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return 0;
}
#endif

uint64_t vr_cycles(void)
{
	return rte_rdtsc();
}

uint64_t vr_cycles_hertz(void)
{
	return rte_get_tsc_hz();
}

int vr_errno(void)
{
	return rte_errno;
}

int vr_has_lcore(void)
{
	return rte_lcore_id() != LCORE_ID_ANY;
}

int vr_link_up(uint16_t port)
{
	struct rte_eth_link link;

	if (rte_eth_link_get_nowait(port, &link) != 0)
		return -1;
	return link.link_status == RTE_ETH_LINK_UP;
}
