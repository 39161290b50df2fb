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
