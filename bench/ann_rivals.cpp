#include "ann_rivals.h"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <queue>
#include <vector>

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <omp.h>
#ifdef HAVE_HNSWLIB
#include <hnswlib/hnswlib.h>
#endif

#include "akin_base.h"

struct rival {
    size_t dim = 0, bytes = 0;
    virtual void search(const float *query, int k, int64_t *rows) const = 0;
    virtual void set(int)
    {
    }
    virtual void set_candidates(int)
    {
    }
    virtual ~rival()
    {
    }
};

namespace
{

struct faiss_rival : rival {
    std::unique_ptr<faiss::Index> index;
    void search(const float *query, int k, int64_t *rows) const override
    {
        std::vector<float> scores((size_t)k);
        omp_set_num_threads(1);
        index->search(1, query, k, scores.data(), rows);
    }
    void set(int setting) override
    {
        faiss::Index *inner = index.get();
        if (auto *turned = dynamic_cast<faiss::IndexPreTransform *>(inner))
            inner = turned->index;
        if (auto *refine = dynamic_cast<faiss::IndexRefine *>(inner))
            inner = refine->base_index;
        if (auto *ivf = dynamic_cast<faiss::IndexIVF *>(inner))
            ivf->nprobe = (size_t)setting;
    }
    void set_candidates(int times_k) override
    {
        if (auto *refine = dynamic_cast<faiss::IndexRefine *>(index.get()))
            refine->k_factor = (float)times_k;
    }
};

#ifdef HAVE_HNSWLIB
struct hnsw_rival : rival {
    std::unique_ptr<hnswlib::InnerProductSpace> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> index;
    void search(const float *query, int k, int64_t *rows) const override
    {
        auto found = index->searchKnn(query, (size_t)k);
        for (int i = 0; i < k; i++)
            rows[i] = -1;
        for (size_t i = found.size(); i-- > 0; found.pop())
            rows[i] = (int64_t)found.top().second;
    }
    void set(int setting) override
    {
        index->setEf((size_t)setting);
    }
};
#endif

} // namespace

void rival_search(const rival *r, const float *query, int k, int64_t *rows)
{
    r->search(query, k, rows);
}

void rival_set(rival *r, int setting)
{
    r->set(setting);
}

void rival_set_candidates(rival *r, int times_k)
{
    r->set_candidates(times_k);
}

size_t rival_bytes(const rival *r)
{
    return r->bytes;
}

void rival_free(rival *r)
{
    delete r;
}

void faiss_truth(const uint16_t *rows16, size_t n, size_t dim,
                 const float *queries, size_t nq, int k, int64_t *rows)
{
    using hit = std::pair<float, int64_t>;
    const size_t block = 20000;
    std::vector<std::priority_queue<hit, std::vector<hit>, std::greater<hit>>>
        best(nq);
    std::vector<float> x(block * dim), scores(nq * (size_t)k);
    std::vector<int64_t> ids(nq * (size_t)k);
    omp_set_num_threads(2);
    for (size_t first = 0; first < n; first += block) {
        size_t some = std::min(block, n - first);
        faiss::IndexFlatIP flat((int64_t)dim);
        akin_float_from_half(x.data(), rows16 + first * dim, some * dim);
        for (size_t i = 0; i < some; i++) // rounding left them not quite so
            akin_normalize(x.data() + i * dim, dim);
        flat.add((int64_t)some, x.data());
        flat.search((int64_t)nq, queries, k, scores.data(), ids.data());
        for (size_t i = 0; i < nq * (size_t)k; i++) {
            auto &heap = best[i / (size_t)k];
            if (ids[i] < 0) continue;
            heap.emplace(scores[i], ids[i] + (int64_t)first);
            if (heap.size() > (size_t)k) heap.pop();
        }
    }
    for (size_t q = 0; q < nq; q++)
        for (size_t i = best[q].size(); i-- > 0; best[q].pop())
            rows[q * (size_t)k + i] = best[q].top().second;
}

rival *faiss_flat(const uint16_t *rows16, size_t n, size_t dim)
{
    auto *r = new faiss_rival;
    std::vector<float> x(1000 * dim);
    r->index.reset(new faiss::IndexFlatIP((int64_t)dim));
    for (size_t first = 0; first < n; first += 1000) {
        size_t some = std::min((size_t)1000, n - first);
        akin_float_from_half(x.data(), rows16 + first * dim, some * dim);
        r->index->add((int64_t)some, x.data());
    }
    r->bytes = n * dim * sizeof(float);
    return r;
}

rival *faiss_read(const char *path, uint64_t at)
{
    std::unique_ptr<faiss_rival> r(new faiss_rival);
    FILE *file = fopen(path, "rb");
    if (!file || fseeko(file, (off_t)at, SEEK_SET)) return nullptr;
    try {
        r->index.reset(faiss::read_index(file));
    } catch (const std::exception &e) {
        fprintf(stderr, "faiss: %s\n", e.what());
    }
    fclose(file);
    auto *ivf = dynamic_cast<faiss::IndexIVFPQ *>(r->index.get());
    if (!ivf) return nullptr;
    r->bytes = (size_t)ivf->ntotal * (ivf->code_size + 8) +
               ivf->nlist * (size_t)ivf->d * sizeof(float);
    return r.release();
}

rival *faiss_refine(const uint16_t *rows16, size_t n, size_t dim)
{
    std::unique_ptr<faiss_rival> r(new faiss_rival);
    std::vector<float> x(n * dim);
    size_t nlist = (size_t)(4 * std::sqrt((double)n));
    akin_float_from_half(x.data(), rows16, n * dim);
    omp_set_num_threads(2);
    auto *coarse = new faiss::IndexFlatIP((int64_t)dim);
    auto *ivf = new faiss::IndexIVFPQ(coarse, dim, nlist, dim / 8, 8,
                                      faiss::METRIC_INNER_PRODUCT);
    ivf->own_fields = true;
    ivf->cp.niter = 10;
    ivf->pq.cp.niter = 10;
    ivf->pq.cp.max_points_per_centroid = 64;
    ivf->do_polysemous_training = false;
    ivf->nprobe = 16;
    auto *refine = new faiss::IndexRefineFlat(ivf);
    refine->own_fields = true;
    refine->k_factor = 20;
    r->index.reset(refine);
    refine->train((int64_t)std::min(n, nlist * 50), x.data());
    refine->add((int64_t)n, x.data());
    r->bytes = n * (dim / 8 + 8 + dim * sizeof(float));
    return r.release();
}

static double processor_seconds()
{
    return (double)clock() / CLOCKS_PER_SEC;
}

rival *faiss_factory(const uint16_t *rows16, size_t n, size_t dim,
                     const char *factory, double *train_s, double *add_s)
{
    std::unique_ptr<faiss_rival> r(new faiss_rival);
    omp_set_num_threads(2);
    try {
        r->index.reset(faiss::index_factory((int)dim, factory,
                                            faiss::METRIC_INNER_PRODUCT));
        auto *turned = dynamic_cast<faiss::IndexPreTransform *>(r->index.get());
        auto *ivf = dynamic_cast<faiss::IndexIVFPQ *>(turned ? turned->index
                                                             : r->index.get());
        if (!ivf) return nullptr;
        ivf->cp.niter = 10;
        ivf->pq.cp.niter = 10;
        ivf->pq.cp.max_points_per_centroid = 64;
        if (turned) { // as many points as the codes get
            auto *opq = dynamic_cast<faiss::OPQMatrix *>(turned->chain[0]);
            if (opq) opq->max_train_points = 64 * 256;
        }
        // a sample in random order, as the quantizers take its beginning
        size_t some = std::min(n, std::max(ivf->nlist * 50, (size_t)16384));
        std::vector<float> x(std::max(some, (size_t)10000) * dim);
        uint64_t seed = 5;
        for (size_t i = 0; i < some; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            akin_float_from_half(x.data() + i * dim,
                                 rows16 + (seed >> 33) % n * dim, dim);
        }
        double start = processor_seconds();
        r->index->train((int64_t)some, x.data());
        *train_s = processor_seconds() - start;
        start = processor_seconds();
        for (size_t first = 0; first < n; first += 10000) {
            size_t part = std::min((size_t)10000, n - first);
            akin_float_from_half(x.data(), rows16 + first * dim, part * dim);
            r->index->add((int64_t)part, x.data());
        }
        *add_s = processor_seconds() - start;
        r->bytes = n * (ivf->code_size + 8) + ivf->nlist * dim * sizeof(float);
    } catch (const std::exception &e) {
        fprintf(stderr, "faiss: %s\n", e.what());
        return nullptr;
    }
    return r.release();
}

rival *hnsw_build(const uint16_t *rows16, size_t n, size_t dim, int m, int ef)
{
#ifdef HAVE_HNSWLIB
    auto *r = new hnsw_rival;
    r->space.reset(new hnswlib::InnerProductSpace(dim));
    r->index.reset(new hnswlib::HierarchicalNSW<float>(r->space.get(), n,
                                                       (size_t)m, (size_t)ef));
#pragma omp parallel for schedule(dynamic, 100) num_threads(2)
    for (size_t i = 0; i < n; i++) {
        std::vector<float> x(dim);
        akin_float_from_half(x.data(), rows16 + i * dim, dim);
        r->index->addPoint(x.data(), i);
    }
    r->bytes = n * (r->index->size_data_per_element_ + 8);
    return r;
#else
    (void)rows16, (void)n, (void)dim, (void)m, (void)ef;
    return nullptr;
#endif
}
