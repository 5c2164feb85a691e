// Rank sentences by how near they are to a question, with a package of a sentence embedding model.
//
//   rank minilm.tload < tokens.txt
//
// Each line of the input is a sentence as the model's tokenizer numbers it; the first is the question.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <sstream>
#include <string>
#include <transload/transload.hpp>
#include <vector>

namespace {

// The sentences in one rectangle, short ones filled up with zeros, which `mask` leaves out.
struct Batch {
  std::vector<std::int64_t> ids, mask;
  std::int64_t count = 0, length = 0;
};

Batch read_batch(std::istream& input) {
  std::vector<std::vector<std::int64_t>> sentences;
  for (std::string line; std::getline(input, line);) {
    std::istringstream words(line);
    std::vector<std::int64_t>& sentence = sentences.emplace_back();
    for (std::int64_t id = 0; words >> id;) sentence.push_back(id);
  }
  Batch batch;
  batch.count = static_cast<std::int64_t>(sentences.size());
  for (const auto& sentence : sentences) batch.length = std::max(batch.length, std::int64_t(sentence.size()));
  for (auto& sentence : sentences) {
    const auto size = static_cast<std::int64_t>(sentence.size());
    batch.ids.insert(batch.ids.end(), sentence.begin(), sentence.end());
    batch.ids.resize(batch.ids.size() + static_cast<std::size_t>(batch.length - size), 0);
    batch.mask.resize(batch.mask.size() + static_cast<std::size_t>(size), 1);
    batch.mask.resize(batch.mask.size() + static_cast<std::size_t>(batch.length - size), 0);
  }
  return batch;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: rank PACKAGE < tokens.txt\n");
    return 2;
  }
  try {
    const auto model = transload::Model::open(words[1]);
    Batch batch = read_batch(std::cin);
    const transload::Shape shape = {batch.count, batch.length};
    const auto results = model.run({{"input_ids", transload::Tensor::over(batch.ids, shape)},
                                    {"attention_mask", transload::Tensor::over(batch.mask, shape)}});
    const auto& vectors = results[0];
    const auto width = static_cast<std::size_t>(vectors.shape()[1]);
    const float* question = vectors.data<float>();
    std::vector<std::pair<float, std::int64_t>> ranking;
    for (std::int64_t index = 1; index < batch.count; ++index) {
      const float* sentence = question + static_cast<std::size_t>(index) * width;
      ranking.emplace_back(std::inner_product(question, question + width, sentence, 0.0f), index);
    }
    std::sort(ranking.rbegin(), ranking.rend());
    for (const auto& [similarity, index] : ranking) {
      std::printf("%+.3f  %d\n", similarity, static_cast<int>(index));
    }
  } catch (const transload::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
    return static_cast<int>(error.status());
  }
}
